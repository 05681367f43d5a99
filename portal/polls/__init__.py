"""What pages ask for by themselves, every few seconds, a thousand of them at once.

A part of a page that depends on nothing but account, rights and address is made once in a while and
shared (``shared``). A viewer who has come through the door a moment ago is known again without
it while nothing has changed that let it in (``passes``). Together an answer costs a look into
two dictionaries (``middleware``).
"""
