package dev.moorline.android

import android.app.Activity
import android.app.Application
import android.content.Context
import android.os.Bundle
import android.os.Handler
import android.os.Looper
import dev.moorline.HostSignal
import dev.moorline.HostSignals
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds

/**
 * Tells the client whether the app is in front: [HostSignal.Foreground] with the first activity that starts, and
 * [HostSignal.Background] when none was started for [grace]. A rotation, or a step from one activity to the next, is neither.
 *
 * Called before the first activity starts (in `Application.onCreate`, or a service), the app counts as in the background only once
 * it has been in front. Told on the main thread.
 */
public class ProcessLifecycle(context: Context, private val grace: Duration = 700.milliseconds) : HostSignals {
    private val application = context.applicationContext as Application

    /** Begins to follow; see [HostSignals.follow]. */
    override fun follow(tell: (HostSignal) -> Unit): AutoCloseable {
        val callbacks = Callbacks(tell, grace)
        application.registerActivityLifecycleCallbacks(callbacks)
        return AutoCloseable {
            application.unregisterActivityLifecycleCallbacks(callbacks)
            callbacks.stop()
        }
    }

    private class Callbacks(private val tell: (HostSignal) -> Unit, private val grace: Duration) : Application.ActivityLifecycleCallbacks {
        private val main = Handler(Looper.getMainLooper())
        private val leave = Runnable { leave() }
        private val started = mutableSetOf<Activity>()
        private var isInFront = false

        override fun onActivityStarted(activity: Activity) {
            started += activity
            main.removeCallbacks(leave)
            if (!isInFront) {
                isInFront = true
                tell(HostSignal.Foreground)
            }
        }

        override fun onActivityStopped(activity: Activity) {
            // One that was started before this began to follow counts as well.
            started -= activity
            if (started.isEmpty()) main.postDelayed(leave, grace.inWholeMilliseconds)
        }

        fun stop() = main.removeCallbacks(leave)

        private fun leave() {
            isInFront = false
            tell(HostSignal.Background)
        }

        override fun onActivityCreated(activity: Activity, state: Bundle?): Unit = Unit
        override fun onActivityResumed(activity: Activity): Unit = Unit
        override fun onActivityPaused(activity: Activity): Unit = Unit
        override fun onActivitySaveInstanceState(activity: Activity, state: Bundle): Unit = Unit
        override fun onActivityDestroyed(activity: Activity): Unit = Unit
    }
}
