import ChatModel
import Moorline
import SwiftUI

/// The room: who is here, what was said, and a field to say something.
struct RoomView: View {
    @Bindable var model: ChatModel

    var body: some View {
        VStack(spacing: 0) {
            header
            ScrollViewReader { proxy in
                List {
                    if model.hasOlder {
                        Button("Earlier messages") { Task { await model.loadOlder() } }
                    }
                    ForEach(model.lines) { line in
                        LineView(line: line, isOwn: line.user == model.user).id(line.id)
                    }
                }
                .onChange(of: model.lines.last?.id) { _, last in
                    proxy.scrollTo(last, anchor: .bottom)
                }
            }
            field
        }
        .task { await model.run() }
    }

    private var header: some View {
        HStack {
            Text(model.members?.joined(separator: ", ") ?? "…").lineLimit(1)
            Spacer()
            Text(model.problem ?? model.connection.name)
                .foregroundStyle(model.connection.isOnline ? .green : .orange)
        }
        .padding()
    }

    private var field: some View {
        HStack {
            TextField("Say something", text: $model.draft)
                .onSubmit(send)
            Button("Send", action: send)
                .disabled(model.draft.isEmpty)
        }
        .padding()
    }

    private func send() {
        Task { await model.send() }
    }
}

/// One message.
struct LineView: View {
    let line: Line
    let isOwn: Bool

    var body: some View {
        VStack(alignment: isOwn ? .trailing : .leading) {
            if !isOwn {
                Text(line.user).font(.caption).foregroundStyle(.secondary)
            }
            Text(line.text)
                .padding(8)
                .background(isOwn ? Color.accentColor.opacity(0.2) : Color.gray.opacity(0.15), in: .rect(cornerRadius: 10))
                .opacity(line.progress == .waiting ? 0.5 : 1)
        }
        .frame(maxWidth: .infinity, alignment: isOwn ? .trailing : .leading)
        .listRowSeparator(.hidden)
    }
}
