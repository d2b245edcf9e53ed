import SwiftUI

/// Asks who sits here, and where the server is.
struct SignInView: View {
    let problem: String?
    let signIn: (_ server: String, _ user: String) -> Void

    @AppStorage("server") private var server = "ws://127.0.0.1:8000/ws"
    @AppStorage("user") private var user = ""

    var body: some View {
        Form {
            TextField("Server", text: $server)
            TextField("Your name", text: $user)
            Button("Open the room") { signIn(server, user) }
                .disabled(user.isEmpty)
            if let problem {
                Text(problem).foregroundStyle(.red)
            }
        }
        .padding()
    }
}
