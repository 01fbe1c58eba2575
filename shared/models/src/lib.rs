//! Models behind any OpenAI-compatible endpoint, within a budget.
