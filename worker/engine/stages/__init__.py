"""The three stages of a model as functions of tensors, and the ways in which each can be run faster."""
