"""What a run came to: did it learn, did it forget? Losses, scores, and answers before and after."""
