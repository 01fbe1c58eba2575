"""What the local cloud changes in the emulator, one reason a module."""
