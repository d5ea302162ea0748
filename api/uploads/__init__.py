"""Taking in bodies that go to the disk: of pictures that are edited, and of files."""
