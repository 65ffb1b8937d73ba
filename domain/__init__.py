"""What Shoal is about: contacts, rules, groups and segments, and who moves when. Knows nothing of how it is reached."""
