package dev.moorline.planted

import org.junit.platform.engine.TestExecutionResult
import org.junit.platform.engine.discovery.DiscoverySelectors.selectMethod
import org.junit.platform.launcher.TestExecutionListener
import org.junit.platform.launcher.TestIdentifier
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder
import org.junit.platform.launcher.core.LauncherFactory

/** Runs scenarios, `class#method` each, and prints a line for each: `SUCCESSFUL` or `FAILED`, and its name. */
fun main(arguments: Array<String>) {
    val request = LauncherDiscoveryRequestBuilder.request().selectors(arguments.map { selectMethod(it) }).build()
    LauncherFactory.create().execute(
        request,
        object : TestExecutionListener {
            override fun executionFinished(test: TestIdentifier, result: TestExecutionResult) {
                if (test.isTest || result.status != TestExecutionResult.Status.SUCCESSFUL) println("${result.status} ${test.displayName}")
                result.throwable.ifPresent { println("  $it") }
            }
        },
    )
    System.exit(0)
}
