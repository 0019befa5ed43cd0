"""A case that measures a user's input: what it is, its rounds, where its time goes, what helps."""
