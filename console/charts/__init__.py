"""Charts as SVG that the server draws: what lies where; templates/chart.html draws it."""
