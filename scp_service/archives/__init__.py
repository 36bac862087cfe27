"""Films that are asked for: what archives are asked, how, and how politely."""
