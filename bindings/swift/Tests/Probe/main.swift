// Publishes while there is no network, says what its store has, and waits to be killed.
import Foundation
import Moorline

let arguments = CommandLine.arguments
guard arguments.count == 5, let url = URL(string: arguments[1]) else {
    print("usage: Probe URL USER STORE CHANNEL")
    exit(2)
}

let client = try Moorline(url: url, token: "dev:\(arguments[2])", store: .file(arguments[3]))
let room = client.channel(arguments[4], qos: .exactlyOnce)
for number in 0..<5 {
    let receipt = try room.publish(json: number)
    try await receipt.queued()
    print(receipt.id)
    fflush(nil)
}
while true { try await Task.sleep(for: .seconds(3600)) }
