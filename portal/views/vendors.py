from portal.door import page
from qcloud.kernel.permissions import Permission as P


@page(P.PULSE_TRAFFIC_READ)
def overview(r, h):
    raise NotImplementedError


index = overview
