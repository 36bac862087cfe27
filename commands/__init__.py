"""What each command does, as a person at a terminal sees it. The rooms below do the work."""
