"""How well a bundle does: figures, plots and a page, all from one table of predictions."""
