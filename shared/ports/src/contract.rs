//! What every adapter of a port must do: the same assertions run on memory and on the emulator.
