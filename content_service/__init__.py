"""Everything authored for a class: contents and their revisions, materials, and what is found in them."""
