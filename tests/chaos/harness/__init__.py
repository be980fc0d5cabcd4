"""What the chaos tests stand on: a whole Beckon in processes of its own, sinks that keep ledgers, and a judge.

A test of this folder never touches Beckon's code: it speaks HTTP and SMTP with it, reads its tables by SQL, and
kills, stops and continues its processes by their ids.
"""
