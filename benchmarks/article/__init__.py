"""The source article's engine, completed as little as possible so that it runs; written anew from its facts.

It keeps the article's shape: asyncpg with a pool of 5 to 20, a blocking Redis client as profile cache and suppression
memory, some queries per event, and a walk over all triggers for each event. What the article names but never defines
(storing, classifying, the suppression checks, the sending) is filled in with the cheapest thing that does the job;
nothing goes over a network.
"""
