"""Moderation of what is asked for, before anything is stored."""

from api.moderation.gate import Gate, build_gate
from api.moderation.moderator import Moderator, Words

__all__ = ["Gate", "Moderator", "Words", "build_gate"]
