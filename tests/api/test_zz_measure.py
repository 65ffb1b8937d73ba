import asyncio, time, cProfile, pstats, contextlib
async def test_x(client, server):
    def now(): return time.perf_counter()
    allseg = await client.segment("all", "email is not empty")
    async with contextlib.AsyncExitStack() as st:
        ws=[await st.enter_async_context(client.watching(allseg)) for _ in range(20)]
        for w in ws: await w.event()
        p=cProfile.Profile()
        a=now(); c=time.process_time()
        p.enable()
        await client.upsert({f"D{n}": {"email": f"d{n}@example.org"} for n in range(1000)})
        print(f"upsert {now()-a:.2f} s wall, {time.process_time()-c:.2f}")
        await asyncio.gather(*(w.events(1000) for w in ws))
        p.disable()
        print(f"1000 joins to 20 watchers: {now()-a:.2f} s wall, {time.process_time()-c:.2f} s cpu (server and clients)")
        pstats.Stats(p).sort_stats("tottime").print_stats(35)
