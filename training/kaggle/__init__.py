"""The RSNA challenge's Kaggle folder: found, checked, described and explored."""
