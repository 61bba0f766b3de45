"""How models learn: collect, fit, keep; resumable at any point."""
