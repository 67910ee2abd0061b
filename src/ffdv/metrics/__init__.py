"""Labels and scores → numbers."""
