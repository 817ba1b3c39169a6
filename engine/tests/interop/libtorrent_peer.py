"""A libtorrent peer on loopback for the interop tests.

    libtorrent_peer.py probe
    libtorrent_peer.py create PATH OUT TRACKER PIECE_LENGTH [--private] [--version v1|hybrid|v2|padded]
    libtorrent_peer.py seed|leech TORRENT|MAGNET FOLDER PORT [--dial IP:PORT] [--limit-up BYTES] [--fickle]

PEER_HOST is the loopback address to live at. `seed` prints `ready` once it has checked its data, `leech` prints `done`
once every piece is in and on disk; both print `peer IP:PORT SOURCE CLIENT` for each peer that they meet. With
`--fickle` it serves everybody and nobody by turns. Both end when
their standard input does, so that they never outlive the test.
"""
import argparse
import os
import sys
import threading
import time

import libtorrent as lt

HOST = os.environ.get("PEER_HOST", "127.0.0.1")                # or [::1]

SOURCES = [(lt.peer_info.pex, "pex"), (lt.peer_info.tracker, "tracker"), (32, "incoming")]

VERSIONS = {
    "v1": lt.create_torrent.v1_only, "hybrid": 0, "v2": lt.create_torrent.v2_only,
    "padded": lt.create_torrent.v1_only | lt.create_torrent.canonical_files,
}


def create(args):
    files = lt.file_storage()
    lt.add_files(files, args.path)
    torrent = lt.create_torrent(files, args.piece_length, VERSIONS[args.version])
    torrent.add_tracker(args.tracker, 0)
    torrent.set_priv(args.private)
    lt.set_piece_hashes(torrent, os.path.dirname(args.path))
    with open(args.out, "wb") as file:
        file.write(lt.bencode(torrent.generate()))


def session(args):
    ses = lt.session({
        "listen_interfaces": HOST + ":" + args.port,
        "outgoing_interfaces": HOST.strip("[]"),
        "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
        "dht_bootstrap_nodes": "",
        "allow_multiple_connections_per_ip": True,            # every peer here is on loopback
        "ssrf_mitigation": False,                             # so is the tracker
        "upload_rate_limit": args.limit_up, "unchoke_interval": 1,
        "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
    })
    limited = lt.ip_filter()                                   # rate limits hold on loopback as well
    limited.add_rule("0.0.0.0", "255.255.255.255", 1 << lt.session.global_peer_class_id)
    ses.set_peer_class_filter(limited)
    return ses


def wait_until_finished(session):
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            print(alert.message(), file=sys.stderr, flush=True)
            if isinstance(alert, (lt.torrent_error_alert, lt.file_error_alert)):
                sys.exit(1)
            if isinstance(alert, lt.torrent_finished_alert):
                return


def name_peers(handle):
    known = set()
    while True:
        for peer in handle.get_peer_info():
            if peer.flags & (peer.connecting | peer.handshake):
                continue
            sources = "+".join(name for flag, name in SOURCES if peer.source & flag)
            line = "peer %s:%d %s %s" % (*peer.ip, sources or "told", peer.client.decode(errors="replace"))
            if line not in known:
                known.add(line)
                print(line, flush=True)
        time.sleep(0.2)


def change_its_mind(session):
    while True:
        for slots in [8, 0]:
            session.apply_settings({"unchoke_slots_limit": slots})
            time.sleep(2)


def peer(args):
    ses = session(args)
    if args.torrent.startswith("magnet:"):
        params = lt.parse_magnet_uri(args.torrent)
    else:
        params = lt.add_torrent_params()
        params.ti = lt.torrent_info(args.torrent)
    params.save_path = args.folder
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    handle = ses.add_torrent(params)
    for addr in args.dial:
        host, port = addr.rsplit(":", 1)
        handle.connect_peer((host, int(port)))
    threading.Thread(target=name_peers, args=[handle], daemon=True).start()
    if args.fickle:
        threading.Thread(target=change_its_mind, args=[ses], daemon=True).start()
    wait_until_finished(ses)
    handle.flush_cache()
    while args.mode == "leech":
        ses.wait_for_alert(1000)
        if any(isinstance(alert, lt.cache_flushed_alert) for alert in ses.pop_alerts()):
            break
    print("ready" if args.mode == "seed" else "done", flush=True)
    threading.Event().wait()


def end_with_the_test():
    sys.stdin.read()
    os._exit(0)


def arguments():
    parser = argparse.ArgumentParser()
    modes = parser.add_subparsers(dest="mode", required=True)
    modes.add_parser("probe")
    making = modes.add_parser("create")
    making.add_argument("path")
    making.add_argument("out")
    making.add_argument("tracker")
    making.add_argument("piece_length", type=int)
    making.add_argument("--private", action="store_true")
    making.add_argument("--version", choices=VERSIONS, default="v1")
    for mode in ["seed", "leech"]:
        sharing = modes.add_parser(mode)
        for name in ["torrent", "folder", "port"]:
            sharing.add_argument(name)
        sharing.add_argument("--dial", action="append", default=[])
        sharing.add_argument("--limit-up", type=int, default=0)
        sharing.add_argument("--fickle", action="store_true")
    return parser.parse_args()


args = arguments()
if args.mode == "create":
    create(args)
elif args.mode == "probe":
    print(lt.__version__)
else:
    threading.Thread(target=end_with_the_test, daemon=True).start()
    peer(args)
