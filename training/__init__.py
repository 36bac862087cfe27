"""From the Kaggle folder to a model bundle."""
