"""What results tell, side by side: tables, one page, and whether one is worse than another."""
