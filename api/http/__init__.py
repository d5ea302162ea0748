"""HTTP itself: serving it, what is let in, what every request gets."""
