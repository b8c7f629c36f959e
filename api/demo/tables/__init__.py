"""The tables that the demo's medicine is drawn from: conditions, drugs, laboratory, growth."""
