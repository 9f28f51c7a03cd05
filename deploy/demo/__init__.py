"""One learner, one lesson: Meno's main job, played through the real gateway."""
