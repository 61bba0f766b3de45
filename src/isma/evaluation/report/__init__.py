"""Report of a run, from its tables alone: findings in sentences, figures, one page."""
