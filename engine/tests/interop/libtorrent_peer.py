"""A libtorrent peer on loopback for the interop tests.

    libtorrent_peer.py probe
    libtorrent_peer.py create PATH OUT TRACKER PIECE_LENGTH v1|hybrid
    libtorrent_peer.py seed|leech TORRENT|MAGNET FOLDER PORT

PEER_HOST is the loopback address to live at. `seed` prints `ready` once it has checked its data, `leech` prints `done`
once every piece is in and on disk. Both end when their standard input does, so that they never outlive the test.
"""
import os
import sys
import threading

import libtorrent as lt

HOST = os.environ.get("PEER_HOST", "127.0.0.1")                # or [::1]


def create(path, out, tracker, piece_length, version):
    files = lt.file_storage()
    lt.add_files(files, path)
    flags = lt.create_torrent.v1_only if version == "v1" else 0
    torrent = lt.create_torrent(files, int(piece_length), flags)
    torrent.add_tracker(tracker, 0)
    lt.set_piece_hashes(torrent, os.path.dirname(path))
    with open(out, "wb") as file:
        file.write(lt.bencode(torrent.generate()))


def session(port):
    return lt.session({
        "listen_interfaces": HOST + ":" + port,
        "outgoing_interfaces": HOST.strip("[]"),
        "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
        "dht_bootstrap_nodes": "",
        "enable_outgoing_utp": False, "enable_incoming_utp": False,
        "in_enc_policy": 2, "out_enc_policy": 2,              # plain text
        "allow_multiple_connections_per_ip": True,            # every peer here is on loopback
        "ssrf_mitigation": False,                             # so is the tracker
        "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
    })


def wait_until_finished(session):
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            print(alert.message(), file=sys.stderr, flush=True)
            if isinstance(alert, (lt.torrent_error_alert, lt.file_error_alert)):
                sys.exit(1)
            if isinstance(alert, lt.torrent_finished_alert):
                return


def peer(mode, torrent, folder, port):
    ses = session(port)
    if torrent.startswith("magnet:"):
        params = lt.parse_magnet_uri(torrent)
    else:
        params = lt.add_torrent_params()
        params.ti = lt.torrent_info(torrent)
    params.save_path = folder
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    handle = ses.add_torrent(params)
    wait_until_finished(ses)
    handle.flush_cache()
    while mode == "leech":
        ses.wait_for_alert(1000)
        if any(isinstance(alert, lt.cache_flushed_alert) for alert in ses.pop_alerts()):
            break
    print("ready" if mode == "seed" else "done", flush=True)
    threading.Event().wait()


def end_with_the_test():
    sys.stdin.read()
    os._exit(0)


if sys.argv[1] == "create":
    create(*sys.argv[2:])
elif sys.argv[1] == "probe":
    print(lt.__version__)
else:
    threading.Thread(target=end_with_the_test, daemon=True).start()
    peer(*sys.argv[1:])
