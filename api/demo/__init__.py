"""The demonstration: a server of its own, generated contacts, replies that change them, and a view of what that moves.

Everything here is a client: it reaches Shoal by HTTP and websockets alone, and could run on another machine.
"""
