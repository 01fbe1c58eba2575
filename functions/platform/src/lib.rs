//! What the others stand on: outbox to bus, health, the API description.
