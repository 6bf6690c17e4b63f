"""What peers.py is made of: processes, proxies, storms, scenarios, report."""
