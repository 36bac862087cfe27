"""The kinds of destination: how each is reached, and what its answers mean.

A kind is one class of settings (`settings.destinations`, named in its `KINDS`), one file here with
a `Connector`, and one line in `registry`. `scp_service.deliver` asks for the connector of a
destination, opens a connection, and sends parcels over it one by one:

    with connector(destination, settings).connected(store) as connection:
        answer = connection.send(parcel)

Leases, batches, pauses between attempts and the history are the lane's; a kind knows none of them.
It says `PeerError` where the destination as a whole cannot be used, and an `Answer` where it has
spoken about one object. A destination gets the results whose kind stands in its `objects`: `sr` and
`sc` are DICOM files, `json` is the result document of a report.
"""
