"""What convexity buys: faster methods, paths, and derivatives of fitted points."""
