"""Fetches what a catalogue entry needs from the hub into the Hugging Face cache of this machine.

The only part of the project that downloads anything, and only when somebody says `darkroom models pull`.
"""
