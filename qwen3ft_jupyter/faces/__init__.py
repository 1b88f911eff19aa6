"""What the faces share: the table of verbs, what verbs do, and what their answers show."""
