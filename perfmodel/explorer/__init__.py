"""A page that answers again in the browser: the formulas as JavaScript, their numbers as sliders."""
