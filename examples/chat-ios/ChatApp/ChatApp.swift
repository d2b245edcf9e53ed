import ChatModel
import Moorline
import SwiftUI

/// A chat. The client follows the network and the app's background by itself: nothing here does.
@main
struct ChatApp: App {
    @State private var model: ChatModel?
    @State private var problem: String?

    var body: some Scene {
        WindowGroup {
            if let model {
                RoomView(model: model)
            } else {
                SignInView(problem: problem, signIn: open)
            }
        }
    }

    private func open(server: String, user: String) {
        guard let url = URL(string: server) else {
            problem = "That is no address."
            return
        }
        do {
            let folder = try FileManager.default.url(
                for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
            model = try ChatModel(url: url, user: user, store: .file(folder.appending(path: "\(user).moor")))
        } catch {
            problem = "\(error)"
        }
    }
}
