"""Figures, as ratios against something measured in the same run; nothing here fails."""
