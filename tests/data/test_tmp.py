import time
from chassis.testing import Postgres
import psycopg
from tests.data import growth
def test_fill(postgres):
    for s in growth.ROWS:
        t=time.time(); url=postgres.create(s); t1=time.time()
        with psycopg.connect(url,autocommit=True) as c:
            growth.fill(c,s)
        print(s, t1-t, time.time()-t1)
