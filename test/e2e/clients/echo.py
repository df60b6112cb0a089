# Debian's python3-paho-mqtt over any transport: publishes one message of each QoS, prints what comes back as JSON.
# echo.py HOST PORT tcp|websockets 3|4|5 TOPIC [CA [CERTIFICATE KEY]]

import json
import queue
import sys

import paho.mqtt.client as paho

host, port, transport, version, topic, *tls = sys.argv[1:]
options = {"client_id": "", "transport": transport, "protocol": int(version)}
if hasattr(paho, "CallbackAPIVersion"):
    options["callback_api_version"] = paho.CallbackAPIVersion.VERSION1
client = paho.Client(**options)
if tls:
    client.tls_set(*tls)
if transport == "websockets":
    client.ws_set_options(path="/mqtt")

events = queue.Queue()
client.on_connect = lambda *args: events.put(("connected", int(getattr(args[3], "value", args[3]))))
client.on_subscribe = lambda *args: events.put(("subscribed", None))
client.on_message = lambda _client, _data, message: events.put(
    ("message", [message.topic, message.qos, message.payload.decode()])
)


def wait(kind):
    found, value = events.get(timeout=10)
    if found != kind:
        sys.exit(f"waited for {kind}, got {found} {value}")
    return value


client.connect(host, int(port), keepalive=30)
client.loop_start()
connected = wait("connected")
if connected != 0:
    sys.exit(f"refused: {connected}")
client.subscribe(topic, 2)
wait("subscribed")
got = []
for qos in (0, 1, 2):
    client.publish(topic, f"message {qos}", qos).wait_for_publish()
    got.append(wait("message"))
client.disconnect()
client.loop_stop()
print(json.dumps(got))
