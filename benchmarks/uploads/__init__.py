"""What an API process takes of memory while bodies with pictures come in."""
