"""What fewer bits cost the trained models of docs/."""
