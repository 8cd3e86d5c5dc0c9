"""How it is minimised: order, rules, steps, epochs, the loop."""
