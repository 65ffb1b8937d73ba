"""Who joins and who leaves, when: changes, the engine that finds them, the log that keeps them, the feed that tells them."""
