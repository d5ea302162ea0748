"""The HTTP process: validates, submits, waits, answers. It knows no torch and never imports the worker."""
