"""What is on disk: models in folders, their records, and how they come, are checked and go."""
