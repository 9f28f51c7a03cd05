"""content_service: authored contents and their revisions, materials, and search in them."""
